/* Loads a filter and makes calls under it, to see what a real kernel does.
 *
 *   kernel PROGRAM FLAGS < CALLS
 *
 * Each line of CALLS is "ABI NUMBER ARGUMENT", ABI being i386 or amd64 (x32 has its bit in the number); the three first
 * arguments are ARGUMENT. Each is answered by its result, a negative errno where it failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct instruction {
	unsigned short code;
	unsigned char jt, jf;
	unsigned k;
};

struct program {
	unsigned short length;
	struct instruction *instructions;
};

static long call_amd64(long number, long argument)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(argument), "S"(argument), "d"(argument)
			 : "rcx", "r11", "memory");
	return result;
}

static long call_i386(long number, long argument)
{
	int result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"((int)number), "b"(argument), "c"(argument), "d"(argument)
			 : "r8", "r9", "r10", "r11", "memory");
	return result;
}

int main(int argc, char **argv)
{
	static struct instruction instructions[4096];
	static char line[128], output[1 << 20];
	struct program program = { 0, instructions };
	size_t filled = 0;
	ssize_t length;
	int fd;

	if (argc != 3)
		return 2;
	fd = open(argv[1], O_RDONLY);
	length = read(fd, instructions, sizeof instructions);
	if (length <= 0)
		return 2;
	program.length = length / sizeof *instructions;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return 3;
	if (syscall(SYS_seccomp, 1, strtoul(argv[2], NULL, 10), &program) != 0) {
		printf("refused %d\n", errno);
		return 0;
	}
	while (fgets(line, sizeof line, stdin)) {
		char abi[8];
		unsigned long number, argument;
		long result;

		if (sscanf(line, "%7s %lu %lu", abi, &number, &argument) != 3)
			return 2;
		result = strcmp(abi, "i386") == 0 ? call_i386(number, argument) : call_amd64(number, argument);
		filled += snprintf(output + filled, sizeof output - filled, "%ld\n", result);
	}
	if (write(1, output, filled) != (ssize_t)filled)
		return 4;
	return 0;
}
