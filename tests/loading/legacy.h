// Maps as they were defined before BTF, at the beginning of `struct bpf_map_def` of several loaders.
#include "../../programs/story.h"

struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
};
