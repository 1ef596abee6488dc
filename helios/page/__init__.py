"""HTML pages as scenes: Chromium draws them by frame number. Imports Playwright only when a page is opened.

A page sets `window.heliosScene` to an object, or a promise of one, with `frames`, `fps`, `width`, `height`, and
`draw(frame, seconds)` where it draws by itself.
"""
