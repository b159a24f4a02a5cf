// Memory of a device. The host moves such pointers and hands them over; it cannot follow them by mistake, because what
// they point to has no type that it could use. Only the sources of a device whose memory is the host's, and its tests,
// are compiled with DEVICE_IS_HOST, and see the numbers themselves.
#ifndef DEVICE_MEMORY_H
#define DEVICE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#ifdef DEVICE_IS_HOST
#define DEVICE_TYPE(name, type) typedef type name
#else
#define DEVICE_TYPE(name, type)                                                                                        \
    typedef struct {                                                                                                   \
        type there;                                                                                                    \
    } name
#endif

DEVICE_TYPE(dfloat, float);
DEVICE_TYPE(dint, int32_t);
DEVICE_TYPE(dword, uint32_t);
DEVICE_TYPE(dbyte, uint8_t);
DEVICE_TYPE(dslab, dbyte *); // an address in the device's memory, kept there

#endif
