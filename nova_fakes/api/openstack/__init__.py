"""The fakes of nova's API tests of 2011, where they live on."""
