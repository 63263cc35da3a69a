"""Videos and cameras: decoded, shown to a detector, written as H.264 or served as a live page.

Needs PyAV, the extra `[video]`.
"""
