/* The bytes of entry README in sealed segments: FORMAT.md, "Sealed segments". */
#pragma once

/* A text for people that is a Python program too. */
extern const char segment_readme[];
