#!/bin/sh
# Checks the model of the wake gate: as it is it must hold, and without any one of its parts it must lose a wake-up.
# Needs Debian's packages spin and gcc; says so and succeeds where spin is missing.
set -eu

model=$(cd "$(dirname "$0")" && pwd)/wake.pml
if ! command -v spin >/dev/null; then
  echo "skipped: the model needs spin (apt-get install spin gcc)"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# errors VARIANT: how many errors SPIN finds, having looked at every state, or at those up to the first error.
errors() {
  spin ${1:+-D"$1"} -a "$model" >spin.log
  gcc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c
  ./pan -m100000 -w24 -n >pan.log
  if grep -q "max search depth too small\|out of memory" pan.log; then
    cat pan.log >&2
    exit 1
  fi
  sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
}

found=$(errors "")
states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
if [ "$found" != 0 ]; then
  spin -t -p -g "$model" | tail -n 80
  echo "FAILED: the wake gate loses a wake-up, as above"
  exit 1
fi
echo "ok: no wake-up is lost in any of $states states"

for variant in NAIVE NO_BARRIER EARLY_LOOK NO_LOCKED_LOOK KEEP_MEMORY OLD_LOOK STALE_TIMER; do
  if [ "$(errors $variant)" = 0 ]; then
    echo "FAILED: nothing is lost with $variant, so the model does not show that the part is needed"
    exit 1
  fi
  if ! grep -q "assertion violated" pan.log; then
    cat pan.log
    echo "FAILED: $variant ends with an error that is not a lost wake-up"
    exit 1
  fi
  echo "ok: $variant loses one"
done
