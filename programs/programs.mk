# Compiles every story, programs/NAME.bpf.c, to target/programs/NAME.bpf.o. Meant to be included from the Makefile at the root.
#
# Needs clang, libbpf-dev and linux-libc-dev.

BPF_CLANG ?= clang
BPF_ARCH_INCLUDE ?= /usr/include/$(shell uname -m)-linux-gnu
BPF_FLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -I$(BPF_ARCH_INCLUDE)

STORIES := $(wildcard programs/*.bpf.c)
STORY_OBJECTS := $(STORIES:programs/%.c=target/programs/%.o)

# Programs that fail for one cause each, which only tests load.
CAUSES := $(wildcard tests/causes/*.bpf.c)
CAUSE_OBJECTS := $(CAUSES:tests/causes/%.c=target/causes/%.o)

# Objects that their own loaders complete, which only tests load.
LOADING := $(wildcard tests/loading/*.bpf.c)
LOADING_OBJECTS := $(LOADING:tests/loading/%.c=target/loading/%.o)

# Programs that are loaded for functions of others, which only tests load.
TARGETS := $(wildcard tests/targets/*.bpf.c)
TARGET_OBJECTS := $(TARGETS:tests/targets/%.c=target/targets/%.o)

# Objects that loaders take in different ways, which only tests load.
LOADER_SHAPES := $(wildcard tests/loaders/*.bpf.c)
LOADER_OBJECTS := $(LOADER_SHAPES:tests/loaders/%.c=target/loader-shapes/%.o)

# Objects that are close to limits, slow, or the next build of each other, which only tests load.
COSTS := $(wildcard tests/cost/*.bpf.c)
COST_OBJECTS := $(COSTS:tests/cost/%.c=target/cost/%.o)

# The forms of object that known systems have.
SYSTEM_SHAPES := $(wildcard programs/systems/shapes/*.bpf.c)
SYSTEM_OBJECTS := $(SYSTEM_SHAPES:programs/systems/shapes/%.c=target/systems/%.o)

.PHONY: programs
programs: $(STORY_OBJECTS) $(CAUSE_OBJECTS) $(LOADING_OBJECTS) $(TARGET_OBJECTS) $(LOADER_OBJECTS) $(COST_OBJECTS) $(SYSTEM_OBJECTS)
# An object whose story was renamed or removed would still be found by whoever loads the whole folder.
	@rm -f $(filter-out $(STORY_OBJECTS),$(wildcard target/programs/*.bpf.o))
	@rm -f $(filter-out $(CAUSE_OBJECTS),$(wildcard target/causes/*.bpf.o))
	@rm -f $(filter-out $(LOADING_OBJECTS),$(wildcard target/loading/*.bpf.o))
	@rm -f $(filter-out $(TARGET_OBJECTS),$(wildcard target/targets/*.bpf.o))
	@rm -f $(filter-out $(LOADER_OBJECTS),$(wildcard target/loader-shapes/*.bpf.o))
	@rm -f $(filter-out $(COST_OBJECTS),$(wildcard target/cost/*.bpf.o))
	@rm -f $(filter-out $(SYSTEM_OBJECTS),$(wildcard target/systems/*.bpf.o))

# -MD writes what an object was made of, so that a change of a header rebuilds it as well.
target/programs/%.bpf.o: programs/%.bpf.c programs/programs.mk
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_FLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

target/causes/without-btf.bpf.o target/causes/without-btf-or-maps.bpf.o target/loading/bare.bpf.o: BPF_FLAGS := $(filter-out -g,$(BPF_FLAGS))

target/causes/%.bpf.o: tests/causes/%.bpf.c programs/programs.mk
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_FLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

target/loading/%.bpf.o: tests/loading/%.bpf.c programs/programs.mk
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_FLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

target/targets/%.bpf.o: tests/targets/%.bpf.c programs/programs.mk
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_FLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

target/loader-shapes/%.bpf.o: tests/loaders/%.bpf.c programs/programs.mk
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_FLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

target/cost/%.bpf.o: tests/cost/%.bpf.c programs/programs.mk
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_FLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

target/systems/%.bpf.o: programs/systems/shapes/%.bpf.c programs/programs.mk
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_FLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

-include $(STORY_OBJECTS:.o=.d) $(CAUSE_OBJECTS:.o=.d) $(LOADING_OBJECTS:.o=.d) $(TARGET_OBJECTS:.o=.d) $(LOADER_OBJECTS:.o=.d) $(COST_OBJECTS:.o=.d) $(SYSTEM_OBJECTS:.o=.d)
