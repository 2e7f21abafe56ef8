import type { Shop } from "./shop.ts";
import { code, tell, title } from "./story.ts";

/** Leaves the shop open to the reader, and shows what happens in it, until the end. */
export async function stayUp({ url, mailbox, showLog }: Shop, end: Promise<unknown>): Promise<void> {
  title("The shop stays open: look inside from another terminal, Ctrl-C ends it");
  code(`psql ${url}`);
  tell("   or, where there is no psql:");
  code(`DATABASE_URL=${url} npm run -s rouse -- sql "select * from rouse.jobs"`);
  tell("   and try:");
  code("insert into customers (name, email) values ('Grace', 'grace@example.com');");
  code("select rouse.enqueue('hello', '{\"name\": \"you\"}', delay => '5 seconds');");
  code("table rouse.jobs; table rouse.failures; table rouse.workers;");
  tell();
  showLog();
  mailbox.onMail(({ to, subject }) => tell(`mail to ${to}: ${subject}`));
  await end;
  tell("Stopping.");
}
