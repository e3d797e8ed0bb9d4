// The three engines behind one interface: `tab.run(function, argument)`.
import puppeteer from "puppeteer-core"

import { required } from "./relay.mjs"
import { WebDriver } from "./webdriver.mjs"

/** A whole trace is typed in one call. */
const CALL_MILLIS = 240_000

/** A browser of the test's own, closed with it. Fresh, since Chromium holds a grudge after failed handshakes. */
export async function chromium(test) {
  // Chromium refuses to run its sandbox as root.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : []
  return new Browser(await launch(test, { executablePath: required("INKWIRE_CHROMIUM"), args }))
}

export async function firefox(test) {
  return new Browser(await launch(test, { browser: "firefox", executablePath: required("INKWIRE_FIREFOX") }))
}

export async function webkit(test) {
  const driver = await WebDriver.start(test, CALL_MILLIS)
  return { tab: async url => (await driver.navigate(url), driver) }
}

async function launch(test, options) {
  const browser = await puppeteer.launch({ headless: true, protocolTimeout: CALL_MILLIS, ...options })
  test.after(() => browser.close())
  return browser
}

class Browser {
  #browser

  constructor(browser) {
    this.#browser = browser
  }

  /** A new tab at an address. */
  async tab(url) {
    const page = await this.#browser.newPage()
    const tab = new Tab(page)
    await page.goto(url, { waitUntil: "load" })
    return tab
  }
}

class Tab {
  /** What the page said on its console, for a failed test. */
  said = []

  constructor(page) {
    this.page = page
    page.on("console", message => this.said.push(`${message.type()}: ${message.text()}`))
    page.on("pageerror", error => this.said.push(`uncaught: ${error.message}`))
  }

  /** Runs a function of lib/page.mjs in the page. */
  run(work, argument) {
    return this.page.evaluate(work, argument)
  }
}
