"""Image files: read, checked, converted to sRGB, written; the report inside a PNG and the sheet beside it."""
