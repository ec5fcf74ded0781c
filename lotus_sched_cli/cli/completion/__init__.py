"""Completion in shells: what can stand where (`tree`), scripts made of it (`bash`, `zsh`, `fish`), names that a running
miner knows (`values`), and Lotus's own ``--generate-bash-completion`` (`words`)."""
