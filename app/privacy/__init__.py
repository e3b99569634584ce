"""个人信息: reasoned look-ups by officers, leaving and erasure, and everything about a family as a file for itself."""
