"""Networks that enlarge images: RRDBNet and SRVGGNetCompact of Real-ESRGAN."""
