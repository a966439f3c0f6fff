#include "archive/segment_readme.h"

const char segment_readme[] = "# A sealed segment.\n";
