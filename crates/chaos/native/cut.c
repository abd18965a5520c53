/* Cuts a mounted ext4 file system off its device: nothing that is not on the device yet will ever come there,
   as if power had failed. Usage: cut DIRECTORY */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define GOING_FLAGS_NOLOGFLUSH 2

int main(int argc, char **argv)
{
	uint32_t flags = GOING_FLAGS_NOLOGFLUSH;
	int directory;

	if (argc != 2) {
		fprintf(stderr, "usage: cut DIRECTORY\n");
		return 2;
	}
	directory = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (directory < 0) {
		perror(argv[1]);
		return 1;
	}
	if (ioctl(directory, EXT4_IOC_SHUTDOWN, &flags) != 0) {
		perror("EXT4_IOC_SHUTDOWN");
		return 1;
	}
	return 0;
}
