# SPDX-License-Identifier: GPL-2.0-or-later
"""Enumerations: the values that an OMERO database has from the start.

ChecksumAlgorithm, PixelsType and the group permissions are as recorded on a real server; the others are those of the OME data
model that OMERO shares. The order is that of the ids.
"""

_FILE_FORMATS = ["PNG", "JPEG", "PGM", "Fits", "GIF", "BMP", "DICOM", "BioRad", "IPLab", "Deltavision", "MRC", "Gatan", "Imaris", "OpenlabRaw", "OMEXML", "TIFF", "Tiff", "AVI", "Zip", "QuickTime", "SDT", "EPS", "Slidebook", "Alicona", "MNG", "NRRD", "Khoros", "Visitech", "LIM", "PSD", "InCell", "ICS", "PerkinElmer", "TCS", "FV1000", "ZeissZVI", "IPW", "LegacyND2", "ND2", "PCI", "ImarisHDF", "Metamorph", "ZeissLSM", "SEQ", "Gel", "Flex", "SVS", "Leica", "Nikon", "Fluoview", "Prairie", "Micromanager", "ImprovisionTiff", "MetamorphTiff", "OMETiff", "LIF", "ZeissCZI", "VSI", "NDPI", "SCN", "CellWorX", "Fake", "Operetta", "Harmony", "MIAS", "Incell1000", "Columbus", "Companion/OME-XML"]

ENUMERATIONS: dict[str, tuple[str, ...]] = {
    "ChecksumAlgorithm": ("SHA1-160", "MD5-128", "Murmur3-128", "Murmur3-32", "CRC-32", "Adler-32", "File-Size-64"),
    "PixelsType": (
        *("bit", "int8", "int16", "int32", "uint8", "uint16", "uint32"),
        *("float", "double", "complex", "double-complex"),
    ),
    "DimensionOrder": ("XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"),
    "JobStatus": ("Submitted", "Resubmitted", "Queued", "Requeued", "Running", "Error", "Waiting", "Finished", "Cancelled"),
    "EventType": (
        *("Import", "Internal", "Shutdown", "User", "Task", "Test", "Processing", "FullText", "Sessions"),
        *("Indexer", "PixelData"),
    ),
    "AdminPrivilege": (
        *("Chgrp", "Chown", "DeleteFile", "DeleteManagedRepo", "DeleteOwned", "DeleteScriptRepo", "ModifyGroup"),
        *("ModifyGroupMembership", "ModifyUser", "ReadSession", "Sudo", "WriteFile", "WriteManagedRepo", "WriteOwned"),
        "WriteScriptRepo",
    ),
    "Format": (
        *("Directory", "OMERO", "Map", "application/octet-stream", "application/pdf", "application/zip"),
        *("application/vnd.ms-excel", "application/msword", "image/jpeg", "image/png", "image/tiff", "text/csv", "text/html"),
        *("text/ini", "text/plain", "text/x-jython", "text/x-lut", "text/x-matlab", "text/x-python", "text/xml", "text/rtf"),
        *("video/jpeg2000", "video/mp4", "video/mpeg", "video/quicktime"),
        *_FILE_FORMATS,
    ),
    "PhotometricInterpretation": ("RGB", "ARGB", "CMYK", "HSV", "Monochrome", "ColorMap"),
    "RenderingModel": ("rgb", "greyscale"),
    "Family": ("linear", "polynomial", "exponential", "logarithmic"),
    "ProjectionAxis": ("Z", "T", "ModuloC", "ModuloT", "ModuloZ"),
    "ProjectionType": ("maximum intensity", "mean intensity", "sum intensity"),
    "AcquisitionMode": (
        *("WideField", "LaserScanningMicroscopy", "LaserScanningConfocalMicroscopy", "LaserScanningConfocal"),
        *("SpinningDiskConfocal", "SlitScanConfocal", "MultiPhotonMicroscopy", "StructuredIllumination"),
        *("SingleMoleculeImaging", "TotalInternalReflection", "FluorescenceLifetime", "SpectralImaging"),
        *("FluorescenceCorrelationSpectroscopy", "NearFieldScanningOpticalMicroscopy"),
        *("SecondHarmonicGenerationImaging", "SecondHarmonicGeneration", "FSM", "LCM", "TIRF", "PALM", "STORM", "STED"),
        *("LSM", "SPIM", "FLIM", "BrightField", "SweptFieldConfocal", "Other", "Unknown"),
    ),
    "ArcType": ("Hg", "Xe", "HgXe", "Other", "Unknown"),
    "Binning": ("1x1", "2x2", "4x4", "8x8", "Other", "Unknown"),
    "ContrastMethod": (
        *("Brightfield", "Phase", "DIC", "HoffmanModulation", "ObliqueIllumination", "PolarizedLight", "Darkfield"),
        *("Fluorescence", "Other", "Unknown"),
    ),
    "Correction": (
        *("UV", "PlanApo", "PlanFluor", "SuperFluor", "VioletCorrected", "Achro", "Achromat", "Fluor", "Fl", "Fluar"),
        *("Neofluar", "Fluotar", "Apo", "Apochromat", "PlanNeofluar", "Other", "Unknown"),
    ),
    "DetectorType": (
        *("CCD", "IntensifiedCCD", "AnalogVideo", "PMT", "Photodiode", "Spectroscopy", "LifetimeImaging"),
        *("CorrelationSpectroscopy", "FTIR", "EMCCD", "APD", "CMOS", "EBCCD", "Other", "Unknown"),
    ),
    "ExperimentType": (
        *("FP", "FRET", "TimeLapse", "FourDPlus", "Screen", "Immunocytochemistry", "Immunofluorescence", "FISH"),
        *("Electrophysiology", "IonImaging", "Colocalization", "PGIDocumentation", "FluorescenceLifetime"),
        *("SpectralImaging", "Photobleaching", "SPIM", "Other", "Unknown"),
    ),
    "FilamentType": ("Incandescent", "Halogen", "Other", "Unknown"),
    "FilterType": (
        *("LongPass", "ShortPass", "BandPass", "MultiPass", "Dichroic", "NeutralDensity", "Tuneable", "Other", "Unknown"),
    ),
    "Illumination": ("Transmitted", "Epifluorescence", "Oblique", "NonLinear", "Other", "Unknown"),
    "Immersion": ("Oil", "Water", "WaterDipping", "Air", "Multi", "Glycerol", "Other", "Unknown"),
    "LaserMedium": (
        *("Cu", "Ag", "ArFl", "ArCl", "KrFl", "KrCl", "XeFl", "XeCl", "XeBr", "N", "Ar", "Kr", "Xe", "HeNe", "HeCd"),
        *("CO", "CO2", "H2O", "HFl", "NdGlass", "NdYAG", "ErGlass", "ErYAG", "HoYLF", "HoYAG", "Ruby", "TiSapphire"),
        *("Alexandrite", "Rhodamine6G", "CoumarinC30", "GaAs", "GaAlAs", "EMinus", "Other", "Unknown"),
    ),
    "LaserType": ("Excimer", "Gas", "MetalVapor", "SolidState", "Dye", "Semiconductor", "FreeElectron", "Other", "Unknown"),
    "Medium": ("Air", "Oil", "Water", "Glycerol", "Other", "Unknown"),
    "MicrobeamManipulationType": (
        *("FRAP", "Photoablation", "Photoactivation", "Uncaging", "OpticalTrapping", "FLIP", "InverseFRAP", "Other", "Unknown"),
    ),
    "MicroscopeType": ("Upright", "Inverted", "Dissection", "Electrophysiology", "Other", "Unknown"),
    "Pulse": ("CW", "Single", "QSwitched", "Repetitive", "ModeLocked", "Other", "Unknown"),
}

#: Bits of a pixel of each PixelsType.
BITS = {
    "bit": 1, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32,
    "float": 32, "double": 64, "complex": 64, "double-complex": 128,
}
