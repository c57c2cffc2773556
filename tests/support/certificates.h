/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_CERTIFICATES_H
#define JJ_TESTS_SUPPORT_CERTIFICATES_H

/* Certificates for 127.0.0.1 and localhost, good for a hundred years and for nothing but tests:
 * their keys are public. Made with openssl; the authority's key was thrown away. */

#define CERTIFICATE_AUTHORITY                                                                      \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBmTCCAT+gAwIBAgIUWQK3CayjU1SlWWowOLtKc2Abq2cwCgYIKoZIzj0EAwIw\n"                           \
    "ITEfMB0GA1UEAwwWamV0am9icyB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMjMyMzQ3\n"                           \
    "NDBaGA8yMTI2MTAzMDIzNDc0MFowITEfMB0GA1UEAwwWamV0am9icyB0ZXN0IGF1\n"                           \
    "dGhvcml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFd6nBL6bKk2kuWdRtzD\n"                           \
    "hc1IhdPqyUHz2STA8tMw7A0r0ygIDNrRH/PbRTlx5lY5sIw9dz2CLf7vgIhJgAJm\n"                           \
    "SYKjUzBRMB0GA1UdDgQWBBQm9OhkqTEt4qNPW51wzL7QCRqW9DAfBgNVHSMEGDAW\n"                           \
    "gBQm9OhkqTEt4qNPW51wzL7QCRqW9DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49\n"                           \
    "BAMCA0gAMEUCIQDSlV9NOJVOF6R1+J3eeicvW6j2wUNO0kPJETxhmdWRkQIgKA7D\n"                           \
    "rI6e7Epi07JHEBYpsUU2kA6bxYR+2JWtRqWNE+E=\n"                                                   \
    "-----END CERTIFICATE-----\n"

#define CERTIFICATE_OF_SERVER                                                                      \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBtTCCAVygAwIBAgIUFzHMVwMlfdG4GPAQOKE9CoRbxPcwCgYIKoZIzj0EAwIw\n"                           \
    "ITEfMB0GA1UEAwwWamV0am9icyB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMjMyMzQ3\n"                           \
    "NDBaGA8yMTI2MTAzMDIzNDc0MFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYH\n"                           \
    "KoZIzj0CAQYIKoZIzj0DAQcDQgAEECf1pbnimcMwBPJ5LbuwkkhVxketYupUhYMT\n"                           \
    "ygn5zVYCOd+4qVpNbtA70Aq1A2pS3ZtQ8OnR0tOe9rz+Qb4ak6N9MHswGgYDVR0R\n"                           \
    "BBMwEYcEfwAAAYIJbG9jYWxob3N0MB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEF\n"                           \
    "BQcDAjAdBgNVHQ4EFgQU6VGbT4i7EDbdS0MMKnYeXtlui5swHwYDVR0jBBgwFoAU\n"                           \
    "JvToZKkxLeKjT1udcMy+0AkalvQwCgYIKoZIzj0EAwIDRwAwRAIhAMvs9rfoqcNe\n"                           \
    "FlWg88nRxKN62ynBNJP+qsnSys3qjHkCAh8nCB/cMfnSoQ9OD+mDJdNUgtyxkltW\n"                           \
    "IDDW0tloC5fA\n"                                                                               \
    "-----END CERTIFICATE-----\n"

#define KEY_OF_SERVER                                                                              \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrHG25D6rAe61gwvi\n"                           \
    "bx+Y3NOQ9YHz01BleQNXzuHtEEGhRANCAAQQJ/WlueKZwzAE8nktu7CSSFXGR61i\n"                           \
    "6lSFgxPKCfnNVgI537ipWk1u0DvQCrUDalLdm1Dw6dHS0572vP5BvhqT\n"                                   \
    "-----END PRIVATE KEY-----\n"

#define CERTIFICATE_OF_CLIENT                                                                      \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBszCCAVmgAwIBAgIUFzHMVwMlfdG4GPAQOKE9CoRbxPgwCgYIKoZIzj0EAwIw\n"                           \
    "ITEfMB0GA1UEAwwWamV0am9icyB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMjMyMzQ3\n"                           \
    "NDBaGA8yMTI2MTAzMDIzNDc0MFowETEPMA0GA1UEAwwGY2xpZW50MFkwEwYHKoZI\n"                           \
    "zj0CAQYIKoZIzj0DAQcDQgAEOOgkPNfF+9FTZrEVIF58Y1ZjkKP8DrDE5jjPkGcK\n"                           \
    "WMx6252QB0sUUe/X907ocjhbk3jqC1e+NOk8/nyMT+v67KN9MHswGgYDVR0RBBMw\n"                           \
    "EYcEfwAAAYIJbG9jYWxob3N0MB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcD\n"                           \
    "AjAdBgNVHQ4EFgQU1+0KtzaUZLAV4e9q0f9HFbltvmowHwYDVR0jBBgwFoAUJvTo\n"                           \
    "ZKkxLeKjT1udcMy+0AkalvQwCgYIKoZIzj0EAwIDSAAwRQIhAPF2SaquqUjwGcGL\n"                           \
    "QPcytUSUfT9aVjIyNP7IcbawTZgAAiBV4fH6Fr6VHjcCf1HSgLRror7q5XmQxLp6\n"                           \
    "qZi3qh9p+g==\n"                                                                               \
    "-----END CERTIFICATE-----\n"

#define KEY_OF_CLIENT                                                                              \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZwVj3Wq1nDJAJ2Yc\n"                           \
    "6Qy1K7VdT7fi+LaG4xmsQB5jZ+uhRANCAAQ46CQ818X70VNmsRUgXnxjVmOQo/wO\n"                           \
    "sMTmOM+QZwpYzHrbnZAHSxRR79f3TuhyOFuTeOoLV7406Tz+fIxP6/rs\n"                                   \
    "-----END PRIVATE KEY-----\n"

#define ANOTHER_AUTHORITY                                                                          \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBjzCCATWgAwIBAgIUPbrmGMv5WjvJa46IWqvcPTIoQNIwCgYIKoZIzj0EAwIw\n"                           \
    "HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTIzMjM0NzQwWhgP\n"                           \
    "MjEyNjEwMzAyMzQ3NDBaMBwxGjAYBgNVBAMMEWFub3RoZXIgYXV0aG9yaXR5MFkw\n"                           \
    "EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOHpMdtte+Bscym8M4zfPnWsJLPfG3gTX\n"                           \
    "tBE1z2XlDl5RaqmrGaDT8x2Y1ySnFcV0tQL1rc98Nfco8EKHse5u26NTMFEwHQYD\n"                           \
    "VR0OBBYEFKXU7F1Xd1QEvu1/RxdISbgFUtTKMB8GA1UdIwQYMBaAFKXU7F1Xd1QE\n"                           \
    "vu1/RxdISbgFUtTKMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIh\n"                           \
    "AKA/+1Kw3XPhKJBVZ8wq6lv+Xv+3ywB+71JeN0zwnGjMAiB+7Rz0dcOt3kAY87AY\n"                           \
    "VyeoRfY0GxwuGhPOPaie5sKWAQ==\n"                                                               \
    "-----END CERTIFICATE-----\n"

#endif
