"""Two artefacts on the same labelled photos: which parts and which photos the second mended, and which it broke."""
