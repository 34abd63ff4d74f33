/* What libseccomp makes of a profile: the reference for the tests of the compiler.
 *
 * Reads lines, answers each "end" and each "name":
 *
 *   name NAME                  "X86_64 I386 X32": the call's numbers, -1 where it has none
 *   default ACTION             starts a profile
 *   arch TOKEN                 adds an architecture
 *   rule ACTION NAME [INDEX OP VALUE VALUE2]...
 *   end                        "ok LENGTH" and that many bytes of program, or "error ERRNO"
 *
 * Numbers are decimal; ACTION, TOKEN and OP are libseccomp's own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static scmp_filter_ctx profile;
static int failure;

static void fail(int result)
{
	if (result < 0 && failure == 0)
		failure = -result;
}

static int number(const char *name, uint32_t arch)
{
	int number = seccomp_syscall_resolve_name_arch(arch, name);
	return number < 0 ? -1 : number;
}

static void answer_name(const char *name)
{
	printf("%d %d %d\n", number(name, SCMP_ARCH_X86_64), number(name, SCMP_ARCH_X86),
	       number(name, SCMP_ARCH_X32));
}

static void add_rule(char *action, char *name)
{
	struct scmp_arg_cmp conditions[6];
	unsigned count = 0;
	int call = seccomp_syscall_resolve_name(name);
	char *index;

	if (call == __NR_SCMP_ERROR)
		return;
	while (count < 6 && (index = strtok(NULL, " "))) {
		conditions[count].arg = strtoul(index, NULL, 10);
		conditions[count].op = strtoul(strtok(NULL, " "), NULL, 10);
		conditions[count].datum_a = strtoull(strtok(NULL, " "), NULL, 10);
		conditions[count].datum_b = strtoull(strtok(NULL, " "), NULL, 10);
		count++;
	}
	fail(seccomp_rule_add_array(profile, strtoul(action, NULL, 10), call, count, conditions));
}

static void answer_program(void)
{
	int fd = memfd_create("program", 0);
	static char buffer[1 << 20];
	ssize_t length;

	if (failure == 0)
		fail(seccomp_export_bpf(profile, fd));
	if (failure != 0) {
		printf("error %d\n", failure);
	} else {
		length = pread(fd, buffer, sizeof buffer, 0);
		if (length < 0)
			length = 0;
		printf("ok %zd\n", length);
		fwrite(buffer, 1, length, stdout);
	}
	close(fd);
	seccomp_release(profile);
	profile = NULL;
	failure = 0;
}

int main(void)
{
	static char line[1 << 16];

	while (fgets(line, sizeof line, stdin)) {
		char *word = strtok(line, " \n");
		char *first = strtok(NULL, " \n");

		if (!word)
			continue;
		if (strcmp(word, "name") == 0) {
			answer_name(first);
		} else if (strcmp(word, "default") == 0) {
			profile = seccomp_init(strtoul(first, NULL, 10));
		} else if (strcmp(word, "arch") == 0) {
			int result = seccomp_arch_add(profile, strtoul(first, NULL, 10));
			fail(result == -EEXIST ? 0 : result);
		} else if (strcmp(word, "rule") == 0) {
			add_rule(first, strtok(NULL, " \n"));
		} else if (strcmp(word, "end") == 0) {
			answer_program();
		} else {
			return 2;
		}
		fflush(stdout);
	}
	return 0;
}
