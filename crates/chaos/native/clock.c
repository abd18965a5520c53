/* Moves the wall clock of the process that preloads this library by the seconds that stand, as text, in the file that
   OTTLA_CHAOS_CLOCK names. The file is mapped once, so that a change takes effect at once and costs nothing.
   The monotonic clocks are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TEXT_BYTES 32

static int (*system_clock_gettime)(clockid_t, struct timespec *);
static const char *shift;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("OTTLA_CHAOS_CLOCK");
	int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

	system_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	if (file >= 0) {
		void *at = mmap(NULL, TEXT_BYTES, PROT_READ, MAP_SHARED, file, 0);

		if (at != MAP_FAILED)
			shift = at;
		close(file);
	}
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int answer;

	if (system_clock_gettime == NULL)
		begin();
	answer = system_clock_gettime(clock, time);
	if (answer == 0 && shift != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		time->tv_sec += atol(shift);
	return answer;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	time->tv_sec = now.tv_sec;
	time->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *where)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (where != NULL)
		*where = now.tv_sec;
	return now.tv_sec;
}
