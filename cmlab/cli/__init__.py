"""The command line: cmlab train | sample | evaluate | ship | record | bench | data | doctor …"""
