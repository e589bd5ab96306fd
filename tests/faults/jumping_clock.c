/* Preloaded, it puts the wall clock forward and back by an hour every half second; other clocks go on as they do. */
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (now.tv_sec * 2 + now.tv_nsec / 500000000) % 2 ? 3600 : -3600;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    int code = (int)syscall(SYS_clock_gettime, clock, found);
    if (code == 0 && clock == CLOCK_REALTIME) found->tv_sec += jump();
    return code;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found != NULL) *found = now.tv_sec;
    return now.tv_sec;
}
