// Opens reports in Chromium over file:// and fails on anything a reader or a security review would not accept:
// a request, a console message, a dialog, a policy violation, an accessibility violation, sideways scrolling, text that
// needs JavaScript to be read, invalid HTML. Usage: node check.mjs CHROMIUM SHOTS REPORT.html...

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const [executablePath, shots, ...reports] = process.argv.slice(2);
const flags = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const faults = [];
let checks = 0;

/** Records a fault unless `holds`. */
const expect = (holds, place, what) => {
  checks += 1;
  if (!holds) faults.push(`${place}: ${what}`);
};

/** A page that reports everything it should not do. */
const open = async (browser, file, place, { hash = "", ...options } = {}) => {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  // A busy machine is slow, not wrong.
  page.setDefaultTimeout(180_000);
  const url = pathToFileURL(resolve(file)).href;
  page.on("request", (request) => {
    const own = request.url().split("#")[0] === url || request.url().startsWith("data:image/png;base64,");
    expect(own, place, `request for ${request.url().slice(0, 100)}`);
  });
  page.on("console", (message) => expect(false, place, `console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => expect(false, place, `script error: ${error}`));
  page.on("dialog", (dialog) => { expect(false, place, `dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
  });
  await page.goto(url + hash);
  return page;
};

const axe = async (page, place) => {
  const { violations } = await new AxeBuilder({ page }).analyze();
  checks += 1;
  for (const { id, help, nodes } of violations) {
    faults.push(`${place}: axe ${id}: ${help} (${nodes.length}): ${nodes[0].html.slice(0, 160)} ${nodes[0].failureSummary.replaceAll("\n", " ")}`);
  }
};

const shoot = (page, name, options = { fullPage: true }) => page.screenshot({ path: join(shots, `${name}.png`), ...options });

const looks = async (browser, file, name) => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 400, 320]) {
      const place = `${name} ${colorScheme} ${width} px`;
      const page = await open(browser, file, place, { colorScheme, viewport: { width, height: 900 } });
      if (width !== 400) await axe(page, place);
      const seen = await page.evaluate(() => ({
        violations: window.violations,
        sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        pictures: [...document.images].filter((image) => image.naturalWidth === 0 || !image.alt).length,
        dangling: [...document.querySelectorAll("a[href]")]
          .filter((link) => !document.getElementById(link.getAttribute("href").slice(1))).map((link) => link.outerHTML),
        small: [...document.querySelectorAll("button, input, summary, .contents a")]
          .filter((target) => target.checkVisibility() && (target.closest("label") ?? target).getBoundingClientRect().height < 24).length,
        headings: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((heading) => Number(heading.tagName[1])),
      }));
      expect(seen.violations.length === 0, place, `policy violations: ${seen.violations}`);
      expect(seen.sideways <= 0, place, `the page scrolls sideways by ${seen.sideways} px`);
      expect(seen.pictures === 0, place, `${seen.pictures} pictures do not show or have no alternative text`);
      expect(seen.dangling.length === 0, place, `links without a target: ${seen.dangling}`);
      expect(seen.small === 0, place, `${seen.small} targets are less than 24 px high`);
      expect(seen.headings.filter((level) => level === 1).length === 1, place, "there must be one h1");
      const ordered = seen.headings.every((level, at) => at === 0 || level <= seen.headings[at - 1] + 1);
      expect(ordered, place, `headings skip a level: ${seen.headings}`);
      await shoot(page, `${name}-${colorScheme}-${width}`);
      await page.context().close();
    }
  }
};

const withoutScript = async (browser, file, name) => {
  const place = `${name} without JavaScript`;
  const page = await open(browser, file, place, { javaScriptEnabled: false });
  const findings = await page.locator(".finding").count();
  let visible = 0;
  for (const card of await page.locator(".finding h3").all()) visible += (await card.isVisible()) ? 1 : 0;
  expect(visible === findings, place, `${visible} of ${findings} findings can be read`);
  expect(await page.locator("#verdict h2").isVisible(), place, "the verdict cannot be read");
  expect(!(await page.locator("#theme").isVisible()), place, "a button that does nothing is shown");
  if (findings) expect(!(await page.locator(".filters").isVisible()), place, "filters that do nothing are shown");
  await page.context().close();
};

const print = async (browser, file, name) => {
  const place = `${name} print`;
  const page = await open(browser, file, place, { colorScheme: "dark", viewport: { width: 700, height: 1000 } });
  await page.emulateMedia({ media: "print" });
  await page.evaluate(() => window.dispatchEvent(new Event("beforeprint")));
  await axe(page, place);
  const seen = await page.evaluate(() => ({
    closed: [...document.querySelectorAll("details:not([open])")].length,
    hidden: [".contents", ".filters", "#theme"].filter((part) => document.querySelector(part)?.checkVisibility()),
    paper: getComputedStyle(document.body).backgroundColor,
    sign: document.querySelector(".sign-off").checkVisibility(),
  }));
  expect(seen.closed === 0, place, `${seen.closed} folds stay closed on paper`);
  expect(seen.hidden.length === 0, place, `on paper: ${seen.hidden}`);
  expect(seen.paper === "rgb(255, 255, 255)", place, `paper is ${seen.paper}`);
  expect(seen.sign, place, "no sign-off lines");
  await page.pdf({ path: join(shots, `${name}.pdf`), preferCSSPageSize: true, printBackground: true });
  await page.context().close();
};

const use = async (browser, file, name) => {
  const place = `${name} in use`;
  let page = await open(browser, file, place, { colorScheme: "light" });
  const shown = () => page.locator(".finding:visible").count();
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement.className) === "skip", place, "the first stop is not the skip link");
  await page.locator("#theme").focus();
  await page.keyboard.press("Enter");
  expect(await page.evaluate(() => document.documentElement.dataset.theme) === "dark", place, "the theme does not change");
  await axe(page, `${place}, dark by button`);
  const all = await shown();
  const box = page.locator('.filters input[type="checkbox"]').first();
  if (!(await box.count())) return page.context().close();
  await box.focus();
  await page.keyboard.press("Space");
  const kind = await box.getAttribute("value");
  const wanted = await page.locator(`.finding[data-verdict="${kind}"]`).count();
  expect(await shown() === wanted, place, `filter ${kind} shows ${await shown()} of ${wanted}`);
  const hash = await page.evaluate(() => location.hash);
  expect(hash === `#verdict=${kind}`, place, `the address does not keep the filter: ${hash}`);
  await axe(page, `${place}, filtered`);
  await page.locator("#clear").click();
  await page.locator("#search").fill("no finding says this");
  expect(await shown() === 0, place, "search finds what is not there");
  await page.locator("#search").fill("");
  expect(await shown() === all, place, "clearing does not show everything");
  await page.context().close();
  page = await open(browser, file, place, { hash });
  expect(await shown() === wanted, place, "a filtered address does not filter");
  const last = page.locator(".finding").last();
  await page.evaluate((id) => { location.hash = id; }, await last.getAttribute("id"));
  await page.waitForTimeout(100);
  expect(await last.isVisible(), place, "a link to a finding that is filtered away shows nothing");
  await page.context().close();
};

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath, args: flags });
for (const file of reports) {
  const name = basename(file, ".html").replace(/\.report$/, "");
  await looks(browser, file, name);
  await withoutScript(browser, file, name);
  await print(browser, file, name);
  await use(browser, file, name);
}
await browser.close();

const vnu = createRequire(import.meta.url).resolve("vnu-jar/package.json").replace("package.json", "build/dist/vnu.jar");
try {
  checks += reports.length;
  execFileSync("java", ["-jar", vnu, "--errors-only", ...reports], { stdio: ["ignore", "pipe", "pipe"] });
} catch (error) {
  if (error.code === "ENOENT") throw new Error("java is missing: install Java 17 or newer for the HTML validator", { cause: error });
  faults.push(...error.stderr.toString().trim().split("\n"));
}

for (const fault of faults) console.error(`fault: ${fault}`);
console.log(`${reports.length} reports, ${checks} checks, ${faults.length} faults; screenshots in ${shots}`);
process.exit(faults.length ? 1 : 0);
