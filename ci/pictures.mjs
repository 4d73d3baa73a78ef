// Takes the pictures of docs/alternatives.md from a site.  Usage: node pictures.mjs SITE OUT_DIR
import {join} from "node:path";
import {argv} from "node:process";

import {openPage} from "../reports/dashboard/test/browser.mjs";

const [, , site, out] = argv;
const {browser, page, problems} = await openPage(site, {width: 1320, height: 3400});
// The heading that stays in sight would lie over the middle of a long picture.
await page.$eval("header", (header) => { header.style.position = "static"; });
const kept = await page.$$eval("#scaling-body > *", (parts, names) => parts.filter((part) => {
  const shown = names.some((name) => part.innerText.trim().startsWith(name));
  part.style.display = shown ? "" : "none";
  return shown;
}).length, ["ping_pong", "ballooning"]);
for (const name of ["alternatives", "scaling"]) {
  await page.locator("#" + name).screenshot({path: join(out, name + ".png")});
}
await browser.close();
if (kept !== 2) problems.push(`of the two workloads of the text ${kept} are on the page`);
if (problems.length > 0) throw new Error(problems.join("\n"));
