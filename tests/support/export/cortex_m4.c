/* What runs before main on a Cortex-M4: the floating-point unit is switched on, then the C library starts. */
#include <stdint.h>

extern void _start(void);

void Reset(void);
void Reset(void) {
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm volatile("dsb\n isb");
    _start();
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {0x20400000u, (uintptr_t)Reset};

void _init(void);
void _init(void) {}
void _fini(void);
void _fini(void) {}
