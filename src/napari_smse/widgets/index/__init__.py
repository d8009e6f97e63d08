"""The index of slides: chosen once, filled by the Score dock, searched by Find similar."""
