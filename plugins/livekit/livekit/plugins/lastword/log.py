"""The logger of this plugin. No credential and no transcript is ever written to it."""

import logging

logger = logging.getLogger("livekit.plugins.lastword")
