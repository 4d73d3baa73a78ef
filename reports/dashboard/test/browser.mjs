// A headless Chromium on a site, with everything recorded that must not happen: console errors, exceptions, requests.
import {accessSync, constants} from "node:fs";
import {createRequire} from "node:module";
import {join, resolve} from "node:path";
import {env} from "node:process";
import {pathToFileURL} from "node:url";

const CANDIDATES = [env.SLUICE_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"];

// The browser's path, or null.
export function findChromium() {
  return CANDIDATES.find((path) => {
    try {
      if (path) accessSync(path, constants.X_OK);
      return Boolean(path);
    } catch {
      return false;
    }
  }) ?? null;
}

// The driver from where the build put the npm packages, or null.
export function findDriver() {
  for (const folder of [env.SLUICE_NODE_MODULES, join(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "..", "node_modules")]) {
    try {
      if (folder) return createRequire(join(resolve(folder), "anchor.js"))("playwright-core").chromium;
    } catch {
      continue;
    }
  }
  return null;
}

export async function openPage(site, {hash = "", width = 1360, height = 900, colorScheme = "light"} = {}) {
  const driver = findDriver(), executablePath = findChromium();
  if (!driver || !executablePath) throw new Error(driver ? "no Chromium: run ci/setup" : "no playwright-core: run ci/setup");
  const browser = await driver.launch({executablePath,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]});
  const page = await browser.newPage({viewport: {width, height}, colorScheme, acceptDownloads: true});
  const problems = [], url = pathToFileURL(resolve(site, "index.html")).href;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push("console " + message.type() + ": " + message.text());
  });
  page.on("pageerror", (error) => problems.push("exception: " + error.message));
  page.on("request", (request) => {
    if (request.url().split("#")[0] !== url && !/^(data|blob):/.test(request.url())) problems.push("request: " + request.url());
  });
  await page.goto(url + (hash ? "#" + hash : ""));
  await page.waitForFunction(() => document.documentElement.dataset.ready === "1", null, {timeout: 20000});
  return {browser, page, problems, url};
}
