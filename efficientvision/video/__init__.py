"""Videos and cameras: decoding, detection, writing as H.264, serving a live page.

Needs PyAV, the extra `[video]`.
"""
