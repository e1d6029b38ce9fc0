#pragma once

namespace culvert {

// Gives memory that was freed back to the system, after work that used much more of it than what
// remains: the C library keeps freed memory for itself as long as it can. Takes some milliseconds
// for each 100 MB; any thread.
void return_free_memory();

}  // namespace culvert
