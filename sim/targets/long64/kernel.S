// The kernel of long64. It runs from the first instruction on in 64-bit mode with paging, at
// LONG64_ENTRY, on every CPU at once, with the CPU's number in RDI. README.md says what it does.

#include "long64.h"

// Model-specific registers of the local APIC in x2APIC mode.
#define X2APIC_EOI           0x80B
#define X2APIC_SPURIOUS      0x80F
#define X2APIC_COMMAND       0x830
#define X2APIC_TIMER         0x832
#define X2APIC_INITIAL_COUNT 0x838
#define X2APIC_DIVIDE        0x83E

#define TIMER_PERIODIC 0x20000
#define DIVIDE_BY_1    0xB

#define COM1 0x3F8

// System calls: number in RAX, argument in RDI, answer in RAX.
#define CALL_EXIT      0
#define CALL_TICKS     1 // timer interrupts of this CPU so far
#define CALL_SUCCESSOR 2 // the argument plus one

        // Writes an MSR; changes RAX, RCX and RDX.
        .macro WRITE_MSR index, low, high=0
        mov     $\index, %ecx
        mov     $\low, %eax
        mov     $\high, %edx
        wrmsr
        .endm

        .macro START_TIMER mode, period
        WRITE_MSR X2APIC_DIVIDE, DIVIDE_BY_1
        WRITE_MSR X2APIC_TIMER, (\mode + LONG64_TIMER_VECTOR)
        WRITE_MSR X2APIC_INITIAL_COUNT, \period
        .endm

        // What a CPU pushes, and what the stub adds, as seen from the saved registers.
        .set    FRAME_VECTOR, 15 * 8
        .set    FRAME_ERROR, 16 * 8
        .set    FRAME_RIP, 17 * 8
        .set    FRAME_CS, 18 * 8

        // ---------------------------------------------------------------------------------------
        // One stub of 16 bytes per vector. SDM 3A, "Error Code": vectors 8, 10 to 14, 17 and 21.
        .section .vectors, "ax"
        .set    vector, 0
        .rept   256
        .org    16 * vector
        .if     (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21)
        .else
        push    $0
        .endif
        push    $vector
        jmp     interrupt
        .set    vector, vector + 1
        .endr
        .org    0x1000

        // ---------------------------------------------------------------------------------------
        .section .text, "ax"
        .code64

        .globl  long64_entry
long64_entry:
        WRITE_MSR X2APIC_SPURIOUS, 0x1FF
        cmp     $1, %edi
        jb      run_cpu_0
        je      run_cpu_1
        cmp     $2, %edi
        je      run_cpu_2

        // CPU 3 counts, and is interrupted only by messages.
        sti
1:      incq    %gs:LONG64_PERCPU_TURNS
        jmp     1b

        // CPUs 1 and 2 sleep until their timers ring.
run_cpu_1:
        START_TIMER TIMER_PERIODIC, LONG64_TIMER_1
        jmp     sleep
run_cpu_2:
        START_TIMER 0, LONG64_TIMER_2
sleep:
        sti
        hlt
        incq    %gs:LONG64_PERCPU_TURNS
        jmp     sleep

        // CPU 0 counts the turns of its loop, and runs the user process in every sixteenth.
run_cpu_0:
        lea     greeting(%rip), %rsi
        mov     $(greeting_end - greeting), %ecx
        mov     $COM1, %edx
1:      lodsb
        out     %al, %dx
        dec     %ecx
        jnz     1b
        START_TIMER TIMER_PERIODIC, LONG64_TIMER_0
        sti
turn:
        incq    %gs:LONG64_PERCPU_TURNS
        mov     %gs:LONG64_PERCPU_TURNS, %rdi
        call    long64_break_me
        testb   $15, %gs:LONG64_PERCPU_TURNS
        jnz     turn
        call    run_user
        jmp     turn

        // Runs the user process from its start until it exits or faults. The loop's stack waits in
        // LONG64_PERCPU_RESUME_RSP.
run_user:
        cli
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, %gs:LONG64_PERCPU_RESUME_RSP
        incq    %gs:LONG64_PERCPU_USER_RUNS
        pushq   $LONG64_USER_SS
        pushq   $LONG64_USER_STACK_TOP
        pushq   $0x202 // IF
        pushq   $LONG64_USER_CS
        pushq   $LONG64_USER_CODE
        swapgs
        iretq

        // The user process is over: returns from run_user. Interrupts are off, GS is the kernel's.
leave_user:
        mov     %gs:LONG64_PERCPU_RESUME_RSP, %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        sti
        ret

        // ---------------------------------------------------------------------------------------
        // Interrupts and exceptions: vector and error code are on the stack.
interrupt:
        testb   $3, 24(%rsp) // of CS: from user mode?
        jz      1f
        swapgs
1:      push    %rax
        push    %rcx
        push    %rdx
        push    %rbx
        push    %rbp
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        cld
        incq    %gs:LONG64_PERCPU_INTERRUPTS
        mov     FRAME_VECTOR(%rsp), %rbx
        cmp     $LONG64_TIMER_VECTOR, %ebx
        jb      exception
        je      timer
        cmp     $LONG64_MESSAGE_VECTOR, %ebx
        je      message
        cmp     $LONG64_CALL_VECTOR, %ebx
        je      call_by_interrupt
return:
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rbp
        pop     %rbx
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        testb   $3, 8(%rsp)
        jz      1f
        swapgs
1:      iretq

        // CPU 2 arms its timer again; CPU 0 sends CPU 3 a message now and then.
timer:
        incq    %gs:LONG64_PERCPU_TICKS
        lock incq long64_shared_ticks(%rip)
        cmpl    $2, %gs:LONG64_PERCPU_NUMBER
        jne     1f
        WRITE_MSR X2APIC_INITIAL_COUNT, LONG64_TIMER_2
1:      cmpl    $0, %gs:LONG64_PERCPU_NUMBER
        jne     end_of_interrupt
        testb   $(LONG64_TICKS_PER_MESSAGE - 1), %gs:LONG64_PERCPU_TICKS
        jnz     end_of_interrupt
        WRITE_MSR X2APIC_COMMAND, LONG64_MESSAGE_VECTOR, 3
        jmp     end_of_interrupt
message:
        incq    %gs:LONG64_PERCPU_MESSAGES
end_of_interrupt:
        WRITE_MSR X2APIC_EOI, 0
        jmp     return

        // What went wrong is written down. Debug exception, NMI and breakpoint return; any other
        // ends the user process or, in the kernel, stops this CPU for good.
exception:
        incq    %gs:LONG64_PERCPU_FAULTS
        mov     %rbx, %gs:LONG64_PERCPU_FAULT_VECTOR
        mov     FRAME_ERROR(%rsp), %rax
        mov     %rax, %gs:LONG64_PERCPU_FAULT_ERROR
        mov     FRAME_RIP(%rsp), %rax
        mov     %rax, %gs:LONG64_PERCPU_FAULT_RIP
        mov     %cr2, %rax
        mov     %rax, %gs:LONG64_PERCPU_FAULT_CR2
        lea     -1(%rbx), %eax
        cmp     $2, %eax
        jbe     return
        testb   $3, FRAME_CS(%rsp)
        jnz     leave_user
1:      cli
        hlt
        jmp     1b

        // ---------------------------------------------------------------------------------------
        // System calls, by INT 0x80 and by SYSCALL.
call_by_interrupt:
        incq    %gs:LONG64_PERCPU_INT80
        mov     14 * 8(%rsp), %rax
        test    %rax, %rax // CALL_EXIT
        jz      leave_user
        call    answer_call
        mov     %rax, 14 * 8(%rsp)
        jmp     return

        // SYSCALL brings no stack; FMASK has turned interrupts off.
        .org    LONG64_SYSCALL - LONG64_ENTRY
        .globl  long64_syscall
long64_syscall:
        swapgs
        mov     %rsp, %gs:LONG64_PERCPU_USER_RSP
        mov     %gs:LONG64_PERCPU_KERNEL_RSP, %rsp
        incq    %gs:LONG64_PERCPU_SYSCALLS
        test    %rax, %rax // CALL_EXIT
        jz      leave_user
        push    %rcx // the user's RIP
        push    %r11 // the user's RFLAGS
        call    answer_call
        pop     %r11
        pop     %rcx
        mov     %gs:LONG64_PERCPU_USER_RSP, %rsp
        swapgs
        sysretq

answer_call:
        cmp     $CALL_TICKS, %rax
        je      1f
        cmp     $CALL_SUCCESSOR, %rax
        je      2f
        mov     $-1, %rax
        ret
1:      mov     %gs:LONG64_PERCPU_TICKS, %rax
        ret
2:      lea     1(%rdi), %rax
        ret

        // ---------------------------------------------------------------------------------------
        // A good place for a breakpoint: called in each turn of CPU 0's loop, with its number in RDI.
        .section .break_me, "ax"
        .globl  long64_break_me
long64_break_me:
        mov     %rdi, long64_last_turn(%rip)
        lea     1(%rdi), %rax
        ret
        .org    0x1000

        .section .constants, "a"
signature:
        .ascii  "PULSIM LONG64\0\0\0"
greeting:
        .ascii  "long64 is up\r\n"
greeting_end:
        .org    0x1000

        .section .shared, "aw"
        .globl  long64_shared_ticks, long64_last_turn
long64_shared_ticks:
        .quad   0
long64_last_turn:
        .quad   0
        .org    0x2000

        .section .percpu, "aw"
        .irp    cpu, 0, 1, 2, 3
        .org    0x1000 * \cpu
        .quad   \cpu
        .org    0x1000 * \cpu + LONG64_PERCPU_KERNEL_RSP
        .quad   LONG64_STACK_INTERRUPT(\cpu)
        .endr
        .org    0x4000

        .section .note.GNU-stack, "", @progbits
