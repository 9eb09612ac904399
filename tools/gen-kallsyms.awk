# SPDX-License-Identifier: MIT
# nm -n of a kernel -> assembly of the table that kernel/kvm/panic.c reads: the functions' offsets and names.
BEGIN { n = at = 0 }
$2 ~ /^[tT]$/ && $3 !~ /^(kernel_text_end|kernel_start|trap_entry_[0-9]+|\.L)/ { addr[n] = $1; name[n++] = $3 }
$3 == "kernel_start" { start = $1 }
END {
    print ".section .kallsyms, \"a\"\n.globl kallsyms_count, kallsyms_offsets, kallsyms_names, kallsyms_strings\n.balign 4"
    print "kallsyms_count: .long " n "\nkallsyms_offsets:"
    for (i = 0; i < n; i++) print ".long 0x" addr[i] " - 0x" start
    print "kallsyms_names:"
    for (i = 0; i < n; i++) { print ".long " at; at += length(name[i]) + 1 }
    print "kallsyms_strings:"
    for (i = 0; i < n; i++) print ".asciz \"" name[i] "\""
    print ".section .note.GNU-stack, \"\", @progbits"
}
