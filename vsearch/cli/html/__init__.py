"""Self-contained HTML pages: contact sheets, galleries and storyboards."""
