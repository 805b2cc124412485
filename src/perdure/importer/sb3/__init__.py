"""Models of Stable-Baselines3 and sb3-contrib."""

from ._load import load_sb3 as load_sb3, read_sb3 as read_sb3
