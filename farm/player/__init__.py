"""A run's video in the browser, while it is rendered: a small page served on loopback, which plays its playlist.

`static/hls.light.min.js` is hls.js 1.7.4 as npm has it (package/dist/hls.light.min.js of hls.js-1.7.4.tgz), its licence
beside it; tests/farm/test_player.py holds its digest. Everything here reads, but for the file by which the run knows
that somebody watches.
"""
