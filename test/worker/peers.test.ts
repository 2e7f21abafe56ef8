import assert from "node:assert/strict";
import test from "node:test";
import { Peers } from "../../src/worker/peers.ts";

const standing = [{ id: 7, beats: 3 }];

/** Looks every 4 s from then on, so often; whether the peer is suspect with the look that would come next. */
function look(peers: Peers, from: number, looks: number, beats = 3): boolean {
  for (let n = 0; n < looks; n++) peers.observe([{ id: 7, beats }], from + n * 4_000, 24_000, 6_000);
  return peers.suspects(from + looks * 4_000).length > 0;
}

test("B7: a worker whose counter stands still for a lease is suspect, one that moves never is", () => {
  const peers = new Peers();
  assert.equal(look(peers, 0, 5), false);
  assert.equal(look(peers, 20_000, 1), true);
  assert.deepEqual(peers.suspects(24_000), standing);
  assert.equal(look(peers, 24_000, 1, 4), false, "it has moved");
  peers.observe([], 28_000, 24_000, 6_000);
  assert.deepEqual(peers.suspects(1e9), [], "it is gone");
});

test("B7: a server that starts anew all the time puts off no rescue for ever", () => {
  const peers = new Peers();
  // Two looks, 4 s apart, between each two starts of the server.
  const told: boolean[] = [];
  for (let start = 0; start < 8; start++) {
    told.push(look(peers, start * 9_000, 2));
    peers.lookAway();
  }
  assert.deepEqual(told, [false, false, false, false, true, true, true, true]);
});

test("B7: who was frozen or cut off itself suspects nobody for that time", () => {
  const frozen = new Peers();
  look(frozen, 0, 2);
  assert.deepEqual(frozen.suspects(1e6), [], "the other one may have been frozen as well");
  assert.equal(look(frozen, 1e6, 2), false);
  const cut = new Peers();
  look(cut, 0, 2);
  cut.lookAway();
  assert.deepEqual(cut.suspects(1e6), []);
  assert.equal(look(cut, 1e6, 2), false);
});
