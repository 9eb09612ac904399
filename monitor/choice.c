/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "choice.h"

#include <errno.h>

int choice_make(const struct thaw_store *store, enum thaw_machine wanted, enum thaw_machine *machine,
                struct thaw_error *err)
{
    char why[KVM_VERDICT_TEXT], advice[KVM_VERDICT_TEXT];
    struct kvm_verdict v;

    *machine = THAW_MACHINE_PROCESS;
    if (wanted == THAW_MACHINE_PROCESS)
        return 0;
    v = kvm_verdict_get(store, false);
    if (v.finding == KVM_USABLE) {
        *machine = THAW_MACHINE_KVM;
        return 0;
    }
    if (wanted == THAW_MACHINE_AUTO)
        return 0;
    kvm_verdict_explain(&v, why, advice);
    return thaw_error_set(err, THAW_STATUS_FAILED, v.error ? v.error : ENODEV, "no kvm machine: %.200s; %.200s", why,
                          advice);
}
