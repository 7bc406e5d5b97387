# SPDX-License-Identifier: GPL-2.0-or-later
"""Enumerations: the values that an OMERO database has from the start.

They are facts of omero-model (the mappings, package ome.model.enums); the order is that of the ids.
"""

#: The readers of Bio-Formats 7.3.1; a real server has a Format for each, and one more for those with companion files
#: (ome.services.util.DBEnumCheck of OMERO's source).
_READERS = """
    FilePattern Zip APNG JPEG SlideBook7 PGM Fits PCX GIF BMP IPLab Ivision RCPNL Deltavision MRC Gatan GatanDM2 Imaris
    OpenlabRaw OMEXML LIF AVI Pict SDT SPC EPS Slidebook Alicona MNG Khoros Visitech LIM PSD InCell L2D FEI NAF MINC QT
    MRW TillVision ARF Cellomics LiFlim Targa OxfordInstruments VGSAM HIS WATOP Seiko Topometrix UBM Quesant BioRadGel RHK
    MolecularImaging CellWorx MetaxpressTiff Ecat7 VarianFDF AIM InCell3000 Spider Volocity Imagic HamamatsuVMS CellSens
    INR Kodak VolocityClipping ZeissCZI SIF NDPIS Povray IMOD Fake AFI Imspector BioRadSCN ZeissLMS PQBin FlowSight IM3
    I2I SPE OIR KLB MicroCT LOF XLEF OlympusTile JEOL Nifti Analyze APL NRRD ICS PerkinElmer Amira Scanr BD Unisoku PDS
    Fuji Operetta Inveon CellVoyager Columbus CV7000 BioRad FV1000 ZeissZVI IPW JPEG2000 JPX ND2 PCI ImarisHDF CellH5
    Veeco Tecan ZeissLSM SEQ Gel ImarisTiff Flex SVS Imacon LEO JPK NDPI PCORAW Ventana OMETiff PyramidTiff MIAS TCS Leica
    Nikon Fluoview Prairie Metamorph Micromanager ImprovisionTiff MetamorphTiff NikonTiff MikroscanTiff PhotoshopTiff
    FEITiff SimplePCITiff NikonElementsTiff Trestle SIS DNG ZeissTIFF LeicaSCN Vectra SlidebookTiff IonpathMIBITiff Dicom
    Hitachi TiffDelegate Text Burleigh Openlab SMCamera SBIG HRDGDF Bruker CanonRaw OBF BDV
"""
_WITH_COMPANIONS = """
    FilePattern Deltavision LIF SPC Visitech InCell L2D TillVision CellWorx Volocity Fake AFI XLEF JEOL Nifti Analyze APL
    NRRD ICS PerkinElmer Scanr BD Unisoku PDS Fuji Operetta Inveon CellVoyager CV7000 BioRad FV1000 Tecan ZeissLSM Flex
    PCORAW OMETiff MIAS TCS Leica Prairie Metamorph Micromanager Trestle ZeissTIFF Vectra Dicom Hitachi Bruker
"""

ENUMERATIONS: dict[str, tuple[str, ...]] = {
    "ChecksumAlgorithm": ("Adler-32", "CRC-32", "MD5-128", "Murmur3-32", "Murmur3-128", "SHA1-160", "File-Size-64"),
    "PixelsType": (
        *("bit", "int8", "int16", "int32", "uint8", "uint16", "uint32"),
        *("float", "double", "complex", "double-complex"),
    ),
    "DimensionOrder": ("XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"),
    "JobStatus": ("Submitted", "Resubmitted", "Queued", "Requeued", "Running", "Error", "Waiting", "Finished", "Cancelled"),
    "EventType": ("Import", "Internal", "Shoola", "User", "Task", "Test", "Processing", "FullText", "Sessions"),
    "AdminPrivilege": (
        *("Chgrp", "Chown", "DeleteFile", "DeleteManagedRepo", "DeleteOwned", "DeleteScriptRepo", "ModifyGroup"),
        *("ModifyGroupMembership", "ModifyUser", "ReadSession", "Sudo", "WriteFile", "WriteManagedRepo", "WriteOwned"),
        "WriteScriptRepo",
    ),
    "Format": tuple(
        name
        for reader in _READERS.split()
        for name in (reader, *([f"Companion/{reader}"] if reader in _WITH_COMPANIONS.split() else []))
    ),
    "PhotometricInterpretation": ("RGB", "ARGB", "CMYK", "HSV", "Monochrome", "ColorMap"),
    "RenderingModel": ("rgb", "greyscale"),
    "Family": ("linear", "polynomial", "exponential", "logarithmic"),
    "ProjectionAxis": ("T", "ModuloT", "Z", "ModuloZ"),
    "ProjectionType": ("maximum", "mean", "sum"),
    "AcquisitionMode": (
        *("WideField", "LaserScanningConfocalMicroscopy", "SpinningDiskConfocal", "SlitScanConfocal"),
        *("MultiPhotonMicroscopy", "StructuredIllumination", "SingleMoleculeImaging", "TotalInternalReflection"),
        *("FluorescenceLifetime", "SpectralImaging", "FluorescenceCorrelationSpectroscopy"),
        *("NearFieldScanningOpticalMicroscopy", "SecondHarmonicGenerationImaging", "PALM", "STORM", "STED", "TIRF"),
        *("FSM", "LCM", "Other", "Unknown", "BrightField", "SweptFieldConfocal", "SPIM"),
    ),
    "ArcType": ("Hg", "Xe", "HgXe", "Other", "Unknown"),
    "Binning": ("1x1", "2x2", "4x4", "8x8"),
    "ContrastMethod": (
        *("Brightfield", "Phase", "DIC", "HoffmanModulation", "ObliqueIllumination", "PolarizedLight", "Darkfield"),
        *("Fluorescence", "Other", "Unknown"),
    ),
    "Correction": (
        *("UV", "PlanApo", "PlanFluor", "SuperFluor", "VioletCorrected", "Achro", "Achromat", "Fluor", "Fl", "Fluar"),
        *("Neofluar", "Fluotar", "Apo", "Other", "Unknown"),
    ),
    "DetectorType": (
        *("CCD", "IntensifiedCCD", "AnalogVideo", "PMT", "Photodiode", "Spectroscopy", "LifetimeImaging"),
        *("CorrelationSpectroscopy", "FTIR", "EM-CCD", "APD", "CMOS", "EBCCD", "Other", "Unknown"),
    ),
    "ExperimentType": (
        *("FP", "FRET", "TimeLapse", "FourDPlus", "Screen", "Immunocytochemistry", "Immunofluorescence", "FISH"),
        *("Electrophysiology", "IonImaging", "Colocalization", "PGIDocumentation", "FluorescenceLifetime"),
        *("SpectralImaging", "Photobleaching", "Other", "Unknown"),
    ),
    "FilamentType": ("Incandescent", "Halogen", "Other", "Unknown"),
    "FilterType": (
        *("LongPass", "ShortPass", "BandPass", "MultiPass", "Dichroic", "NeutralDensity", "Tuneable", "Other", "Unknown"),
    ),
    "Illumination": ("Transmitted", "Epifluorescence", "Oblique", "NonLinear", "Other", "Unknown"),
    "Immersion": ("Oil", "Water", "WaterDipping", "Air", "Multi", "Glycerol", "Other", "Unknown"),
    "LaserMedium": (
        *("Rhodamine6G", "CoumarinC30", "ArFl", "ArCl", "KrFl", "KrCl", "XeFl", "XeCl", "XeBr", "GaAs", "GaAlAs"),
        *("EMinus", "Cu", "Ag", "N", "Ar", "Kr", "Xe", "HeNe", "HeCd", "CO", "CO2", "H2O", "HFl", "NdGlass", "NdYAG"),
        *("ErGlass", "ErYAG", "HoYLF", "HoYAG", "Ruby", "TiSapphire", "Alexandrite", "Other", "Unknown"),
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
    "bit": 1,
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "uint16": 16,
    "int32": 32,
    "uint32": 32,
    "float": 32,
    "double": 64,
    "complex": 64,
    "double-complex": 128,
}
