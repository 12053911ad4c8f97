"""Owns what is done to a frame of the framework before it is taken: a session has one channel."""

from __future__ import annotations

import numpy as np
from livekit import rtc


def mono(frame: rtc.AudioFrame) -> rtc.AudioFrame:
    """The mean of all channels, as a frame of one."""
    if frame.num_channels == 1:
        return frame
    samples = np.frombuffer(frame.data, dtype=np.int16).reshape(-1, frame.num_channels)
    mixed = samples.mean(axis=1).astype(np.int16).tobytes()
    return rtc.AudioFrame(mixed, frame.sample_rate, 1, frame.samples_per_channel)
