// The model in the box: models/poet.gguf as it is, in the program's read-only data.
    .section .rodata
    .balign 64
    .globl gyr_poet
    .globl gyr_poet_end
    .hidden gyr_poet
    .hidden gyr_poet_end
gyr_poet:
    .incbin GYR_POET
gyr_poet_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
