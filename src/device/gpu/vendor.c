#include "device/gpu/vendor.h"

// Products are rounded before sums are added to them, subnormal numbers are kept, division and square root are IEEE's:
// without that a card's bytes would not be a CPU's.
static const char *const cuda_flags[] = {"--std=c++17",     "--fmad=false",     "--ftz=false",
                                         "--prec-div=true", "--prec-sqrt=true", NULL};
static const char *const hip_flags[] = {"-std=c++17", "-O3", "-ffp-contract=off", NULL};

static const char *const cuda_folders[] = {"/usr/lib/wsl/lib", "/usr/local/cuda/lib64", "/usr/local/nvidia/lib64",
                                           "/opt/cuda/lib64", NULL};
// Where pip puts NVRTC: the package nvidia-cuda-nvrtc, and nvidia-cuda-nvrtc-cu12.
static const char *const cuda_python[] = {"nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib", NULL};
static const char *const hip_folders[] = {"/opt/rocm/lib", NULL};

// The newest first.
static const char *const cuda_driver[] = {"libcuda.so.1", NULL};
static const char *const cuda_compiler[] = {"libnvrtc.so.13", "libnvrtc.so.12", NULL};
static const char *const hip_driver[] = {"libamdhip64.so.7", "libamdhip64.so.6", NULL};
static const char *const hip_compiler[] = {"libhiprtc.so.7", "libhiprtc.so.6", NULL};

static const char *const nccl[] = {"libnccl.so.2", NULL};
static const char *const nccl_python[] = {"nvidia/nccl/lib", NULL};
static const char *const rccl[] = {"librccl.so.1", NULL};

const struct gpu_vendor gpu_vendors[GPU_VENDORS] = {
    [GPU_CUDA] = {.id = GPU_CUDA,
                  .kind = "cuda",
                  .maker = "NVIDIA",
                  .pci = 0x10de,
                  .folders = cuda_folders,
                  .python = cuda_python,
                  .driver_names = cuda_driver,
                  .compiler_names = cuda_compiler,
                  .collectives = nccl,
                  .collectives_python = nccl_python,
                  .collectives_title = "NCCL",
                  .get_collectives = "install NCCL (package libnccl2, or 'pip install nvidia-nccl-cu13')",
                  .version_name = "cuDriverGetVersion",
                  .major_unit = 1000,
                  .minor_unit = 10,
                  .compiler_version_name = "nvrtcVersion",
                  .driver_title = "CUDA",
                  .compiler_title = "NVRTC",
                  .driver_least = 12,
                  .compiler_least = 12,
                  .companion = "libnvrtc-builtins.so",
                  .compiler_within_driver = true,
                  .get_driver = "install NVIDIA's driver, version 525 or later",
                  .get_compiler = "install NVRTC: 'pip install nvidia-cuda-nvrtc' (90 MB); if it is there already, set "
                                  "GYR_GPU_LIBRARIES to the folder of libnvrtc.so",
                  .warp = 10,
                  .processors = 16,
                  .shared = 97, // that a block may ask for
                  .threads = 1,
                  .major = 75,
                  .minor = 76,
                  .launch_end = (void *)0,
                  .chip_flag = "--gpu-architecture=",
                  .flags = cuda_flags},
    [GPU_HIP] = {.id = GPU_HIP,
                 .kind = "hip",
                 .maker = "AMD",
                 .pci = 0x1002,
                 .folders = hip_folders,
                 .driver_names = hip_driver,
                 .compiler_names = hip_compiler,
                 .collectives = rccl,
                 .collectives_title = "RCCL",
                 .get_collectives = "install RCCL (package rccl of ROCm)",
                 .version_name = "hipRuntimeGetVersion",
                 .major_unit = 10000000,
                 .minor_unit = 100000,
                 .compiler_version_name = NULL, // hipRTC says 9.0 of itself, whatever it is
                 .driver_title = "HIP",
                 .compiler_title = "hipRTC",
                 .driver_least = 6,
                 .compiler_least = 6,
                 .get_driver = "install AMD's ROCm runtime (package hip-runtime-amd), version 6.0 or later",
                 .get_compiler = "install hipRTC (package hip-runtime-amd of ROCm 6.0 or later)",
                 .warp = 87,
                 .processors = 63,
                 .shared = 74,
                 .threads = 56,
                 .chip_at = 1160, // gcnArchName of hipDeviceProp_tR0600
                 .launch_end = (void *)3,
                 .chip_flag = "--offload-arch=",
                 .flags = hip_flags},
};
