"""The agents: one folder a phase of MLE-STAR, each with its `build_*` functions, prompts and parsers."""
