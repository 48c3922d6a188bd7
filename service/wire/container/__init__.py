"""What is inside an uploaded file, read from its container before any pixel is decoded.

Of each file only the parts that make the picture are handed to the decoder. What else a file may carry
(texts, comments, thumbnails, further frames, unknown parts, bytes after the end) is never parsed, and so
cannot be a bomb.
"""
