"""What several labs share: plot style, explorers, exercises, studies and recordings."""
