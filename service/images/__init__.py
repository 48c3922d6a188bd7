"""Image files: read, checked, brought to sRGB, written; the report inside a PNG and the sheet beside it."""
