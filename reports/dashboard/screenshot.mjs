// Pictures of a site: node screenshot.mjs SITE_DIR OUT.png [HASH] [--full] [--dark] [--width=N] [--height=N]
// HASH is a view of the page, "log=1&missed=1"; needs Chromium (SLUICE_CHROMIUM names another) and the npm packages.
import {argv, exit, stderr} from "node:process";
import {openPage} from "./test/browser.mjs";

const flags = Object.fromEntries(argv.slice(2).filter((word) => word.startsWith("--")).map((word) => word.slice(2).split("=")));
const [site, out, hash] = argv.slice(2).filter((word) => !word.startsWith("--"));
if (!site || !out) {
  stderr.write("usage: node screenshot.mjs SITE_DIR OUT.png [HASH] [--full] [--dark] [--width=N] [--height=N]\n");
  exit(3);
}
const {browser, page, problems} = await openPage(site, {hash, width: Number(flags.width || 1360), height: Number(flags.height || 900),
  colorScheme: "dark" in flags ? "dark" : "light"});
await page.waitForTimeout(300);
await page.screenshot({path: out, fullPage: "full" in flags});
await browser.close();
for (const problem of problems) stderr.write(problem + "\n");
exit(problems.length ? 1 : 0);
