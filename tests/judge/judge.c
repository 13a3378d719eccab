/*
 * An independent judge: which programs of a BPF object does this kernel take? Linked against the distribution's libbpf and
 * sharing nothing with corematrix. For each program the object is opened anew, all other programs are switched off, and it
 * is loaded. Prints one line each:
 *
 *   OBJECT PROGRAM ok
 *   OBJECT PROGRAM without:MAP    ok once MAP, which this kernel does not create, is left out; so the program does not use it
 *   OBJECT PROGRAM ERRNO what libbpf said
 *
 * `(object)` stands for the program where the object cannot be opened.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The first line that libbpf said about a failure, and the map it could not create. */
static char said[512], failed_map[64];

static int keep(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[sizeof(said)];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	if (strstr(line, "failed to create"))
		sscanf(line, "libbpf: map '%63[^']'", failed_map);
	/* A map is tried twice, with its BTF and without; the second word counts. */
	if (!said[0] || strstr(said, "Retrying without BTF"))
		memcpy(said, line, sizeof(said));
	return 0;
}

/* Opens `path` and leaves on only the program at `wanted`; sets `program` to it, or to NULL behind the last one. */
static struct bpf_object *open_one(const char *path, int wanted, struct bpf_program **program)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *each;
	int at = 0;

	*program = NULL;
	if (!object)
		return NULL;
	bpf_object__for_each_program(each, object) {
		bpf_program__set_autoload(each, at == wanted);
		if (at++ == wanted)
			*program = each;
	}
	return object;
}

/* Judges the program at `at`; 0 if there is none. Leaves out the map `without`, unless that is empty. */
static int judge_one(const char *path, int at, const char *without)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct bpf_program *program;
	struct bpf_object *object;
	int error;

	said[0] = failed_map[0] = '\0';
	object = open_one(path, at, &program);
	if (!object) {
		printf("%s (object) %d %s\n", name, errno, said);
		return 0;
	}
	if (!program) {
		bpf_object__close(object);
		return 0;
	}
	if (without[0])
		bpf_map__set_autocreate(bpf_object__find_map_by_name(object, without), false);
	error = bpf_object__load(object);
	if (!error)
		printf("%s %s %s%s\n", name, bpf_program__name(program), without[0] ? "without:" : "ok", without);
	else if (failed_map[0] && !without[0] && bpf_object__find_map_by_name(object, failed_map)) {
		char map[sizeof(failed_map)];

		memcpy(map, failed_map, sizeof(map));
		bpf_object__close(object);
		return judge_one(path, at, map);
	} else
		printf("%s %s %d %s\n", name, bpf_program__name(program), -error, said);
	bpf_object__close(object);
	return 1;
}

int main(int count, char **paths)
{
	struct rlimit lifted = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &lifted))
		perror("setrlimit");
	libbpf_set_print(keep);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int at = 1; at < count; at++)
		for (int program = 0; judge_one(paths[at], program, ""); program++)
			;
	return 0;
}
