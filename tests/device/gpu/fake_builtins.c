// What the stand-in for NVRTC wants beside it.
__attribute__((visibility("default"))) int fake_builtins(void);
int fake_builtins(void) { return 1; }
