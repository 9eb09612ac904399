/* SPDX-License-Identifier: MIT */
/*
 * For kernel/vdso. The host's own vDSO is still mapped; its clocks are the sandbox's but for the offset of the
 * monotonic ones. Where there is none, the system call does the work.
 */
/* The exported names could be interposed, so calls within go to this one. */
static int read_clock(int clock, struct timespec *ts)
{
    const struct thaw_vdso *v = &((const struct thaw_boot *)THAW_BOOT_ADDR)->vdso;
    int (*host)(int, struct timespec *) = (int (*)(int, struct timespec *))v->clock_gettime;

    if (!host || (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC))
        return (int)syscall2(NR_clock_gettime, clock, (long)ts);
    int ret = host(clock, ts);
    if (!ret && clock == CLOCK_MONOTONIC) {
        int64_t offset = v->monotonic_offset;
        ts->sec += offset / NSEC_PER_SEC;
        ts->nsec += offset % NSEC_PER_SEC;
        if (ts->nsec < 0) {
            ts->nsec += NSEC_PER_SEC;
            ts->sec--;
        } else if (ts->nsec >= NSEC_PER_SEC) {
            ts->nsec -= NSEC_PER_SEC;
            ts->sec++;
        }
    }
    return ret;
}
