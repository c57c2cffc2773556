/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_CERTIFICATES_H
#define JJ_TESTS_SUPPORT_CERTIFICATES_H

/* Certificates for 127.0.0.1 and localhost, good for a hundred years and for nothing but tests:
 * their keys are public. Made with openssl; the authorities' keys were thrown away. */

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
    "MIIBkDCCATWgAwIBAgIUNDma6AVqh/zK+NfYLnbMMSwNw90wCgYIKoZIzj0EAwIw\n"                           \
    "HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTI0MTEwODQxWhgP\n"                           \
    "MjEyNjEwMzExMTA4NDFaMBwxGjAYBgNVBAMMEWFub3RoZXIgYXV0aG9yaXR5MFkw\n"                           \
    "EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9t4S311pfqBMcN9hl2xoxd3TF9s9nkNd\n"                           \
    "eIi2qpRIWm14L3jwP7W0C4JvcM+U7hx8noEOmhw6cTxS5EDENa5FOKNTMFEwHQYD\n"                           \
    "VR0OBBYEFBmSscH3aJuEiOFdXhYnWxMm2WHCMB8GA1UdIwQYMBaAFBmSscH3aJuE\n"                           \
    "iOFdXhYnWxMm2WHCMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIh\n"                           \
    "AMrgDjbzcsxUpe4T4Ja3HCpPbckUSbZWC/Qu1Iwti1PdAiEArvJT1nYUibh984NH\n"                           \
    "aeexsOic2CEgbbddnbuF1h1oUMA=\n"                                                               \
    "-----END CERTIFICATE-----\n"

/* Of the other authority, and for the server's key: one that is over, and one for other hosts. */

#define EXPIRED_CERTIFICATE                                                                        \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBpjCCAUugAwIBAgIUSN9b11g572Tl805TwDfLhkVItPYwCgYIKoZIzj0EAwIw\n"                           \
    "HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwHhcNMjYxMTI0MTEwODQ1WhcN\n"                           \
    "MjYxMTIzMTEwODQ1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIB\n"                           \
    "BggqhkjOPQMBBwNCAAQQJ/WlueKZwzAE8nktu7CSSFXGR61i6lSFgxPKCfnNVgI5\n"                           \
    "37ipWk1u0DvQCrUDalLdm1Dw6dHS0572vP5BvhqTo3MwcTAaBgNVHREEEzARhwR/\n"                           \
    "AAABgglsb2NhbGhvc3QwEwYDVR0lBAwwCgYIKwYBBQUHAwEwHQYDVR0OBBYEFOlR\n"                           \
    "m0+IuxA23UtDDCp2Hl7ZboubMB8GA1UdIwQYMBaAFBmSscH3aJuEiOFdXhYnWxMm\n"                           \
    "2WHCMAoGCCqGSM49BAMCA0kAMEYCIQDWCcp8IMhRFwBUqOnb71XaCB/Nnh0aC4v/\n"                           \
    "ubvbowpC+AIhAINbi7SR+Y1VRyRl1fkRPmZWKvvu5ao48Yy3ghS6cK1I\n"                                   \
    "-----END CERTIFICATE-----\n"

#define CERTIFICATE_OF_ANOTHER                                                                     \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBrzCCAVWgAwIBAgIUAR2i/4Rj1eNTYdFfFxskD6jU570wCgYIKoZIzj0EAwIw\n"                           \
    "HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTI0MTEwODQ2WhgP\n"                           \
    "MjEyNjEwMzExMTA4NDZaMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49\n"                           \
    "AgEGCCqGSM49AwEHA0IABBAn9aW54pnDMATyeS27sJJIVcZHrWLqVIWDE8oJ+c1W\n"                           \
    "AjnfuKlaTW7QO9AKtQNqUt2bUPDp0dLTnva8/kG+GpOjezB5MCIGA1UdEQQbMBmC\n"                           \
    "EWVsc2V3aGVyZS5leGFtcGxlhwR/AAAJMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB0G\n"                           \
    "A1UdDgQWBBTpUZtPiLsQNt1LQwwqdh5e2W6LmzAfBgNVHSMEGDAWgBQZkrHB92ib\n"                           \
    "hIjhXV4WJ1sTJtlhwjAKBggqhkjOPQQDAgNIADBFAiBAIM8r6NF/y57LBwGkh2/R\n"                           \
    "plXVAQbT7xzgp2tBkxtf9QIhAN52zErcpMb/bq+m/G6GEIs0omF7PpzQVhP64ezU\n"                           \
    "SMfd\n"                                                                                       \
    "-----END CERTIFICATE-----\n"

#endif
