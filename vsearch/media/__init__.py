"""Media: decode frames and audio, sample and segment videos, and prepare them for playback."""
