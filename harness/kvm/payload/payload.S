# The guest program: position-independent 64-bit code that the host copies into the payload's own
# memslot (layout: payload/payload.h). Each command is an entry point; arguments and results pass in
# registers, which the host sets and reads around KVM_RUN. A command ends with a byte written to
# port kDonePort. Few and plain instructions on purpose: some KVM flavours emulate every one.
#
# Memory commands reach any guest-physical address through a window: the guest writes its own page
# table entry (rsi -> [rdi]), flushes it, and touches the window page (r8). That is the
# architectural order, so it works with nested paging and with shadow page tables alike.
    .intel_syntax noprefix
    .set done_port, 0xe9

    .section .rodata.sluice_payload, "a", @progbits
    .balign 16
    .globl sluice_payload_begin, sluice_payload_end
    .globl sluice_payload_read, sluice_payload_write, sluice_payload_fetch
    .globl sluice_payload_vmmcall, sluice_payload_vmcall
    .globl sluice_payload_touch, sluice_payload_exits, sluice_payload_spin

sluice_payload_begin:
# Where a fetch through the window ends up: the page after the window maps this page.
landing:
    out     done_port, al
    jmp     landing

    .balign 16
# rdi: entry's address, rsi: entry, r8: window -> rax: first 8 bytes of the page.
sluice_payload_read:
    mov     [rdi], rsi
    invlpg  [r8]
    mov     rax, [r8]
    out     done_port, al
    jmp     sluice_payload_read

    .balign 16
# As read, rbx: what to write.
sluice_payload_write:
    mov     [rdi], rsi
    invlpg  [r8]
    mov     [r8], rbx
    out     done_port, al
    jmp     sluice_payload_write

    .balign 16
# As read. Runs off the end of the page: its last 16 bytes are zero (tokens stand at the start), and
# zero bytes are `add [rax], al`, harmless with rax pointing at scratch and al = 0. The next page is
# `landing`. r9: 4080 bytes into the window.
sluice_payload_fetch:
    mov     [rdi], rsi
    invlpg  [r8]
    jmp     r9

    .balign 16
# rax, rbx, rcx, rdx: KVM's hypercall registers -> rax.
sluice_payload_vmmcall:
    vmmcall
    out     done_port, al
    jmp     sluice_payload_vmmcall

    .balign 16
sluice_payload_vmcall:
    vmcall
    out     done_port, al
    jmp     sluice_payload_vmcall

    .balign 16
# rdi: first identity-mapped address, rsi: stride, rcx: how many (at least one): writes each place's
# own address there.
sluice_payload_touch:
    mov     [rdi], rdi
    add     rdi, rsi
    dec     rcx
    jnz     sluice_payload_touch
    out     done_port, al
    jmp     sluice_payload_touch

    .balign 16
# One exit after the other, for measuring the round trip.
sluice_payload_exits:
    out     done_port, al
    jmp     sluice_payload_exits

    .balign 16
# Never exits by itself: what a deadline must end.
sluice_payload_spin:
    jmp     sluice_payload_spin

sluice_payload_end:
    .section .note.GNU-stack, "", @progbits
