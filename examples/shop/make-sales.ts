/**
 * Makes a CSV file of sales, the same one for the same seed.
 *
 *     npx tsx examples/shop/make-sales.ts sales.csv 12000
 */
import { writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

/** What is in the file, to compare with what arrives. */
export type Sales = { file: string; lines: number; revenue: string };

const PRODUCTS = ["tea", "coffee", "cocoa", "honey", "bread", "butter", "cheese", "apples", "pears", "plums"];
const FIRST_SALE = Date.UTC(2026, 0, 2, 8);

export async function makeSales(file: string, lines = 12_000, seed = 1): Promise<Sales> {
  const below = dice(seed);
  const text = ["receipt,sold_at,product,quantity,price"];
  let cents = 0;
  for (let receipt = 1; receipt <= lines; receipt++) {
    const soldAt = new Date(FIRST_SALE + receipt * 60_000 + below(60) * 1_000).toISOString();
    const quantity = 1 + below(9);
    const price = 50 + below(5_000);
    cents += quantity * price;
    text.push(`${receipt},${soldAt},${PRODUCTS[below(PRODUCTS.length)]},${quantity},${(price / 100).toFixed(2)}`);
  }
  await writeFile(file, `${text.join("\n")}\n`);
  return { file, lines, revenue: (cents / 100).toFixed(2) };
}

/** Whole numbers from 0 to below a limit, always the same ones for a seed: the generator of Park and Miller. */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % limit;
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [file = "sales.csv", lines = "12000", seed = "1"] = process.argv.slice(2);
  const made = await makeSales(file, Number(lines), Number(seed));
  console.log(`${made.file}: ${made.lines} lines, revenue ${made.revenue}`);
}
